{
  description = "mini: a NixOS, nix-darwin and home-manager world that builds in a second from /bin/sh alone";

  outputs =
    { self }:
    let
      lib = import ./lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      packages = lib.genAttrs systems (system: import ./packages.nix { inherit lib system; });
      world = import ./system { inherit lib packages; };
      home = import ./home { inherit lib packages; };
      homeModule = home.systemModule;
    in
    {
      # One flake stands in for three: each of these attributes is where its users look for it.
      lib = lib // {
        inherit (world) nixosSystem darwinSystem;
        inherit (home) homeManagerConfiguration hm;
      };
      nixosModules = {
        default = homeModule;
        home-manager = homeModule;
      };
      darwinModules = {
        default = homeModule;
        home-manager = homeModule;
      };
      legacyPackages = packages;
      inherit packages;
    };
}
