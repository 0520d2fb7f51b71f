# Git, for those who write.
{ ... }:
{
  programs.git.enable = true;

  xdg.configFile."git/ignore".text = ''
    .DS_Store
    .direnv/
    result
    result-*
  '';
}
