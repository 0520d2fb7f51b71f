{
  description = "The reference fleet: eight machines, described by inventory.toml";

  # The sources that systems are made from. clanpy reads this file for them; the lab puts its own in their place.
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

    nix-darwin.url = "github:nix-darwin/nix-darwin";
    nix-darwin.inputs.nixpkgs.follows = "nixpkgs";

    home-manager.url = "github:nix-community/home-manager";
    home-manager.inputs.nixpkgs.follows = "nixpkgs";
  };

  # Systems and homes are made by clanpy from inventory.toml, modules/ and machines/: it stages each machine's own sources as a
  # flake with these inputs and the outputs nixosConfigurations, darwinConfigurations and homeConfigurations.
  outputs = inputs: { };
}
