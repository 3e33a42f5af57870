"""What speaks for and against there being an answer, as numbers that mean the same in every knowledge base.

A cosine of 0.5 is chance in one knowledge base and a certain hit in another: it grows with how many passages there are
and how alike they are. So each knowledge base is asked the `OFF_TOPIC` questions once, about everything and nothing,
and what they reach is what a question reaches by chance.
"""

from runllm.operations import Frozen

OFF_TOPIC = (
    "What time does the museum open on Sundays?", "How long should I boil eggs?", "Can you book me a flight to Lisbon?",
    "Who won the championship last night?", "What is the weather going to be like tomorrow?", "Tell me a joke",
    "Which vitamins are good for my skin?", "How do I change a flat tyre?",
    "What is a good present for my sister's birthday?", "Play some jazz music",
    "My dog does not eat, what should I do?",
    "How much is a train ticket to the airport?", "How do I prune roses in winter?",
    "What does this word mean in Italian?", "Set an alarm for six in the morning",
    "Recommend a thriller for the weekend", "How many calories are in a banana?", "Where can I get my watch repaired?",
    "Are there vegetarian restaurants nearby?", "When is the next full moon?",
    "How do I remove wine stains from a carpet?", "What is the exchange rate of the pound?",
    "How do I train a neural network on several graphics cards?", "Why does my car make a noise when braking?",
    "How do I write a cover letter for a job?", "My order has not arrived, where is my parcel?",
    "How do I tune the garbage collector of a Java program?", "I would like to return a pair of shoes",
    "What is the meaning of life?", "How do I set up a Kubernetes operator?", "Does my insurance pay for a rental car?",
    "How can I lower my electricity bill?", "What is the difference between a virus and a bacterium?",
    "Can I take my cat to Norway?", "How do I render a scene with ray tracing?", "Add milk to my shopping list",
    "What are the rules of chess?", "How tall is the highest mountain?", "Which tax form do freelancers need?",
    "How do I fix a merge conflict in my editor?",
)  # fmt: skip
"""A few of them will be on topic somewhere; what counts is the one in the middle."""


USUAL_AGREEMENT = 1.53
"""Of a question in a knowledge base with documents enough; in a smaller one agreement says nothing."""


class Chance(Frozen):
    """What a question that has nothing to do with a knowledge base reaches in it."""

    score: float = 0.2
    cosine: float = 0.2


class Evidence(Frozen):
    """What was found for one question.

    Attributes:
        score: Of the best passage, with what the history adds, between 0 and about 1.
        own_score: Of the same passage, from the last message alone.
        cosine: Of the passage that is nearest in meaning.
        coverage: How much of what the question asks for the best passage has, rare words counting more.
        lead: How much the best document is ahead of the tenth; where there are fewer, of what chance reaches.
        agreement: How many of the five best documents by words are among the five best by meaning.
        chance: What a question about something else reaches.
    """

    score: float
    own_score: float
    cosine: float
    coverage: float
    lead: float
    agreement: float
    chance: Chance = Chance()

    def of_relevance(self) -> list[float]:
        """What tells a question about the subject from one about something else; about 0 on average, 1 apart."""
        return [(self.score - self.chance.score - 0.23) / 0.23, (self.cosine - self.chance.cosine - 0.23) / 0.21]

    def of_answer(self) -> list[float]:
        """What tells a question with an answer from one without; about 0 on average, 1 apart."""
        score = (self.score - self.chance.score) / (1 - self.chance.score)
        cosine = (self.cosine - self.chance.cosine) / (1 - self.chance.cosine)
        return [
            (score - 0.30) / 0.295,
            (cosine - 0.295) / 0.265,
            (self.lead - 0.197) / 0.143,
            (self.coverage - 0.446) / 0.282,
            (self.agreement - USUAL_AGREEMENT) / 1.55,
        ]
