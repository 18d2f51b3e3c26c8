"""A page as its tables, attributes and words."""

from html.parser import HTMLParser

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'
VOID = {"meta", "img", "br", "link", "path", "use", "rect", "input"}


class Page(HTMLParser):
    """Takes the tables, the attributes and the visible text out of a page."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.attributes, self.tags, self.text = {}, [], [], []
        self.open, self.scripts = [], []
        self._table = self._cell = None
        self.html = html
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = self.tables.setdefault(values["id"], [])
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag in ("td", "th") and self._table is not None:
            self._cell = ["", values.get("data-value"), None]
            self._table[-1].append(self._cell)
        elif tag == "span" and self._cell is not None:
            self._cell[2] = values.get("aria-label")

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"
        if tag == "table":
            self._table = None
        elif tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.scripts.append(data)
            return
        self.text.append(data)
        if self._cell is not None:
            self._cell[0] += data if self._cell[2] is None else ""

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    def rows(self, name):
        """The rows of a table below its header, as dictionaries of [text, value, mark]."""
        header, *rows = self.tables[name]
        titles = [" ".join(cell[0].split()) for cell in header]
        return [dict(zip(titles, row, strict=True)) for row in rows]
