"""Whether the credits can be spread over several databases by account: tables by keys, statements by their text."""
