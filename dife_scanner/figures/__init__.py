"""What figures show, decided once for window, mail, HTML and docs: records without a painter.

`reports.figures` paints them into files with matplotlib, the window's views with Qt; both take every text, colour, mark
and bound from here.
"""
