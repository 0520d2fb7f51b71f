"""What the door `clanpy.deploy` stands before: one file a step of the way there and back."""
