"""An answer with a type. One that does not fit goes back to the model, with what is wrong."""

import os
from typing import Annotated

from pydantic import BaseModel, Field

from tinyagents import Agent
from tinyagents.testing import ScriptedModel, call


class Step(BaseModel):
    minutes: Annotated[int, Field(ge=1, le=120)]
    what: str


class Recipe(BaseModel):
    title: str
    steps: list[Step]


GOOD = [{"minutes": 3, "what": "Heat water"}, {"minutes": 7, "what": "Boil the egg"}]
MODEL = os.environ.get("TINYAGENTS_MODEL") or ScriptedModel(
    [
        "Boil an egg, that is all.",
        call("final_answer", title="Boiled egg", steps=[{"minutes": 0, "what": "Boil"}]),
        call("final_answer", title="Boiled egg", steps=GOOD),
    ]
)

cook = Agent(MODEL, name="cook", output_type=Recipe, instructions="Write short recipes.")

if __name__ == "__main__":
    result = cook.run_sync("How do I boil an egg?")
    recipe = result.output  # a Recipe, for you and for your type checker
    print(f"{recipe.title}: {sum(step.minutes for step in recipe.steps)} minutes")
    for step in recipe.steps:
        print(f"  {step.minutes:>3} min  {step.what}")
    for event in result.events:
        if event.kind == "model.retried":  # it answered in words
            print("\nsent back:", event.data["error"].partition(";")[0])
        elif event.kind == "tool.invalid":  # it answered with data that does not fit
            print("sent back:", *event.data["errors"])
