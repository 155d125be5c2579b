"""The reproduction of the DIFE paper: its figures, ours, what has to agree, and the page that shows both."""
