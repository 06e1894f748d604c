"""What a browser would see of a page."""

from html.parser import HTMLParser

PLACES = ("src", "href", "action", "data", "poster", "srcset")


class Reader(HTMLParser):
    """What a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.scripts, self.loads, self.tags = "", [], [], []
        self._inside = ""
        self.feed(page)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append("")
        self.loads += [value for name, value in attrs if name in PLACES and not value.startswith("#")]

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif not self._inside:
            self.text += " ".join(data.split()) + " "
