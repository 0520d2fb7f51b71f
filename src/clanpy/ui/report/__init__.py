"""Reports of a run for those who were not there: read from its events, and from nothing else."""

from __future__ import annotations

from clanpy.ui.report.formats import FORMATS, render
from clanpy.ui.report.story import Story, story_of


__all__ = ["FORMATS", "Story", "render", "story_of"]
