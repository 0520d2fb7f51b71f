# A prompt that says where one is.
{ ... }:
{
  programs.starship = {
    enable = true;
    settings.add_newline = false;
  };
}
