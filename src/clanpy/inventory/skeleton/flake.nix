{
  # The sources that systems are made from. clanpy reads this file for them; a lab puts its own in their place.
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

    nix-darwin.url = "github:nix-darwin/nix-darwin";
    nix-darwin.inputs.nixpkgs.follows = "nixpkgs";

    home-manager.url = "github:nix-community/home-manager";
    home-manager.inputs.nixpkgs.follows = "nixpkgs";
  };

  # Outputs are made by clanpy, for each machine from the files that this machine reads.
  outputs = inputs: { };
}
