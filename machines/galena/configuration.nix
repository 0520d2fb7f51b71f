# Many cores: builds for the others.
{ ... }:
{
  nix.settings = {
    max-jobs = 16;
    cores = 4;
  };

  environment.etc."clanpy/role".text = "builder\n";
}
