"""Models of the libraries that answer from a list: what ``make_model()`` stands for in docs/agents.md."""


def pydantic_ai():
    from pydantic_ai.models.test import TestModel

    return TestModel(custom_output_text="mice")


def smolagents():
    from smolagents.models import ChatMessage, MessageRole, Model

    class Scripted(Model):
        def __init__(self):
            super().__init__(model_id="scripted")
            self.answers = ["x = 1 + 1", "final_answer(x)"]

        def generate(self, messages, **options):
            code = self.answers.pop(0)
            return ChatMessage(role=MessageRole.ASSISTANT, content=f"Thought: {code}\n<code>\n{code}\n</code>")

    return Scripted()


def openai_agents():
    from agents import set_tracing_disabled
    from agents.items import ModelResponse
    from agents.models.interface import Model
    from agents.usage import Usage
    from openai.types.responses import Response, ResponseCompletedEvent, ResponseOutputMessage, ResponseOutputText

    set_tracing_disabled(True)

    class Scripted(Model):
        async def get_response(self, *arguments, **options):
            text = ResponseOutputText(type="output_text", text="mice", annotations=[])
            message = ResponseOutputMessage(
                id="1", type="message", role="assistant", status="completed", content=[text]
            )
            return ModelResponse(output=[message], usage=Usage(), response_id=None)

        async def stream_response(self, *arguments, **options):
            answer = await self.get_response()
            response = Response(
                id="1", created_at=0, model="scripted", object="response", output=answer.output, tool_choice="none",
                tools=[], parallel_tool_calls=False,
            )  # fmt: skip
            yield ResponseCompletedEvent(type="response.completed", sequence_number=0, response=response)

    return Scripted()
