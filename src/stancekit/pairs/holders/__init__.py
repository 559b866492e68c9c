"""Who holds each statement of an article: rules over names, cues and what was said before."""
