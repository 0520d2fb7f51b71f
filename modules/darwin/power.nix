# A laptop sleeps on battery, and stays awake on a charger for as long as somebody is logged in to it.
{ ... }:
{
  power.sleep = {
    computer = 20;
    display = 10;
  };

  environment.etc."clanpy/power".text = "laptop\n";
}
