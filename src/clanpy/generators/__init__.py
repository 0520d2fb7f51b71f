"""What the door `clanpy.vars` stands before: declaring, ordering, running and keeping generators."""
