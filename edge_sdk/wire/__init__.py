"""The wire, version 1: touchpoints, batches, seal, keys, prompts and topics to and from bytes."""
