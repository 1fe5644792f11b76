"""From a file to the SIP messages in it: captures, logs, transports."""
