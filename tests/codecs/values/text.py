"""Text, whatever stands in it."""

UNDETECTED = dict.fromkeys(("cut short", "empty"), "any part of a text is a text")


def make():
    return "line\r\nä \udc80\x00 end"


def others():
    return {"an empty one": ""}
