# The second server: takes the backups of the first.
{ ... }:
{
  environment.etc."clanpy/role".text = "backups\n";
}
