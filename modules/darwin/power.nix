# A laptop sleeps when nobody uses it (minutes).
{ ... }:
{
  power.sleep = {
    computer = 20;
    display = 10;
  };

  environment.etc."clanpy/power".text = "laptop\n";
}
