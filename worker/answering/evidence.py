"""What speaks for and against there being an answer, as numbers that mean the same in every knowledge base.

A cosine of 0.5 is chance in one knowledge base and a certain hit in another: it grows with how many passages there are
and how alike they are. So each knowledge base is asked the `OFF_TOPIC` questions once, about everything and nothing,
and what they reach is what a question reaches by chance. And each question is compared with them: one that is nearer
to what people ask elsewhere than to any passage is hardly about the subject.
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

ELSEWHERE = (
    *OFF_TOPIC,
    "How do I ask for a day off without upsetting my manager?", "Which team plays at home this weekend?",
    "How long does it take to walk to the station?", "What can I cook with potatoes and cream?",
    "Is it safe to take two of these pills a day?", "Who painted the ceiling of that chapel?",
    "How do I get rid of ants in the kitchen?", "Turn off the lights in the living room", "Read me the news",
    "Remind me to call my mother on Friday", "What is fifteen per cent of eighty?",
    "How do you say good morning in Japanese?", "Are you a real person?", "What is your favourite colour?",
    "Thank you, that was all", "Transfer fifty to my savings account", "Why was my card declined in the shop?",
    "How much do I owe on my loan?", "What is my credit score?", "Book a table for four tonight",
    "Do I need a visa for Brazil?", "Where is my suitcase, the airline lost it",
    "How many miles until my next oil change?", "What is the speed limit here?",
    "How do I reset the password of my email?", "My phone does not charge any more",
    "How do I connect my printer to the wireless network?", "Which laptop is best for students?",
    "How do I make a pivot table in a spreadsheet?", "How do I undo my last commit?",
    "What is the difference between a list and a tuple?", "Why does my SQL query use no index?",
    "How do I deploy a container to a cluster?", "How many workers should a queue have?",
    "How do I read a large file line by line?", "What does a segmentation fault mean?",
    "How do I centre an element with CSS?", "How do I tune the hyperparameters of a model?",
    "How do I plot a histogram?", "What is overfitting?", "How do I parallelise a loop over many machines?",
    "How do I serve a model behind an API?", "Where are the logs of a job that failed?",
    "How do I schedule a task every night?", "How is memory shared between processes?",
    "Can my landlord raise the rent?", "How do I register a company?", "When are elections held?",
    "What is the capital of Mongolia?", "Who wrote this song?", "Which planet has the most moons?",
    "How does photosynthesis work?", "What caused the fall of the empire?", "How do I solve a quadratic equation?",
    "How old is the universe?", "How do I lose weight before summer?", "What helps against a headache?",
    "How often should I water a cactus?", "How do I knit a scarf?", "How do I improve my serve in tennis?",
    "Which film won the most awards?", "How do I get a stain out of a sofa?", "Can I freeze cooked rice?",
    "What size shoes should I buy for a toddler?", "How do I learn to play the guitar?",
    "What is a fair price for a used bicycle?", "Should I invest in shares or in bonds?",
    "How do I apply for a passport?", "Where do I vote?", "When is the library open?",
)  # fmt: skip
"""What people ask elsewhere: small talk, errands, money, travel, health, school, computers, programs, machines.

With 105 in place of `OFF_TOPIC`'s 40, irrelevant questions were told better in each of three knowledge bases.
"""

USUAL_AGREEMENT = 1.53
"""Of a question in a knowledge base with documents enough; in a smaller one agreement says nothing."""


USUAL_ELSEWHERE = 0.17

RELEVANCE_NUMBERS, ANSWER_NUMBERS = 3, 6
"""How many numbers there are of each kind, which is how many weights a fit has beside its constant."""


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
        earlier: Of the passage that is nearest in meaning to what was asked before; `cosine` where nothing was.
        conversation: `cosine` and `earlier`, together.
        chance: What a question about something else reaches.
        elsewhere: How near the question is to the three of `ELSEWHERE` that are most like it, and not covered here.
        leaning: What the question itself is worth where it is like those that a person labelled; above 0 is for the
            subject.
    """

    score: float
    own_score: float
    cosine: float
    coverage: float
    lead: float
    agreement: float
    earlier: float
    conversation: float
    chance: Chance = Chance()
    elsewhere: float = USUAL_ELSEWHERE
    leaning: float = 0.0

    def of_relevance(self) -> list[float]:
        """What tells a question about the subject from one about something else; about 0 on average, 1 apart."""
        return [
            (self.conversation - self.chance.cosine - 0.23) / 0.20,
            (self.cosine - self.chance.cosine - 0.23) / 0.21,
            # It may tip the balance: what is asked elsewhere in much the same words may be asked here as well.
            min(max((self.elsewhere - USUAL_ELSEWHERE) / 0.05, -0.8), 0.8),
        ]

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
            (self.earlier - self.chance.cosine - 0.3) / 0.2,
        ]
