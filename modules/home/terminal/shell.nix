# The shell of people who live in one. Aliases are in a file of their own, that other programs read as well.
{ ... }:
{
  programs.zsh = {
    enable = true;
    autosuggestion.enable = true;
    syntaxHighlighting.enable = true;
  };

  home.file.".config/clanpy/aliases".source = ./_files/aliases;
}
