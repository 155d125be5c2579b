"""A detector that finds what it is told to."""

from dife_scanner.discovery import Candidate, Load, SearchResult
from dife_scanner.records import Channel


class Finds:
    """A detector that hands over what it was made with, and counts how often it was asked."""

    kinds = ("token sequences",)

    def __init__(self, *triggers, name="texts", applies=True, alone=True, lacks="", images=1):
        self.name, self._triggers, self._applies, self._alone = name, triggers, applies, alone
        self.channel = triggers[0].channel if triggers else Channel.TEXT
        self._lacks, self._images = lacks, images
        self.tasks = []

    def applies(self, task):
        return self._applies and not self._lacks

    def lacks(self, task):
        return self._lacks

    def alone(self):
        return self if self._alone else None

    def load(self, task):
        return Load(self._images, 0)

    def search(self, task):
        self.tasks.append(task)
        task.progress("looking", 1, 2)
        return SearchResult(
            tuple(Candidate(trigger, 0.9, 0.1) for trigger in self._triggers), 12, {"area": 0.5}
        )
