# How macOS looks and behaves for the person in front of it.
{ ... }:
{
  system.defaults = {
    NSGlobalDomain = {
      AppleShowAllExtensions = true;
      InitialKeyRepeat = 15;
      KeyRepeat = 2;
    };
    dock = {
      autohide = true;
      show-recents = false;
    };
    finder = {
      FXPreferredViewStyle = "Nlsv";
      ShowPathbar = true;
    };
  };

  homebrew = {
    enable = true;
    onActivation.cleanup = "none";
    casks = [ "ghostty" ];
  };
}
