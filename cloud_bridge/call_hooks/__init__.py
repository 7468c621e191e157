"""What telephony providers post: checked, read as events of calls, and told where to connect."""
