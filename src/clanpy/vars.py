"""Vars: values that generators make once, kept with the fleet, readable to whom they are for, and delivered to machines.

session = Session.open(from_fleet(fleet, generators))
intent = intend(session, Wanted(machines=("web",)))        what would be done, and why
done = await generate(session, Wanted(machines=("web",)), How(prompter=…))
findings = examine(session, ("web",))                       what is not as it should be
"""

from clanpy.generators.context import VarsContext, VarsMachine, from_fleet
from clanpy.generators.generate import Generated, How, Intent, generate, intend
from clanpy.generators.graph import GeneratorId, Graph, Node, build
from clanpy.generators.inputs import Inputs, Outputs
from clanpy.generators.plan import Plan, Step, Wanted
from clanpy.generators.prompts import Answers, NobodyToAsk, Prompter, Question
from clanpy.generators.session import Backend, Session
from clanpy.generators.states import Finding, State
from clanpy.services.generator_data import parse, parse_duration
from clanpy.services.generator_problems import problems


__all__ = [
    "Answers",
    "Backend",
    "Finding",
    "Generated",
    "GeneratorId",
    "Graph",
    "How",
    "Inputs",
    "Intent",
    "NobodyToAsk",
    "Node",
    "Outputs",
    "Plan",
    "Prompter",
    "Question",
    "Session",
    "State",
    "Step",
    "VarsContext",
    "VarsMachine",
    "Wanted",
    "build",
    "from_fleet",
    "generate",
    "intend",
    "parse",
    "parse_duration",
    "problems",
]
