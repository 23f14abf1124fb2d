r"""The words of a file, read a second time and by simpler means than its parser does.

What belongs here: one module a family of formats, which finds the words a reader sees in the raw bytes,
mostly by regular expressions. What does not: blocks, order, structure (the parsers), and the comparison
(`account`).

A witness must not use its parser's code or tree: what makes the one blind must not blind the other. It may be
coarse, because only words are compared and not places; where it cannot know what is shown it says nothing,
so that a sound parse has close to no missing words. It costs about a hundredth of the parse,
and time that grows with the bytes alone: a pattern that finds no end takes the rest (``\Z``).
"""
