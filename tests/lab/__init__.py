"""The lab: drives the container stack, reads what went over the wire and draws it.

For the demo and the end-to-end tests. It imports nothing of the product: what it says about a call
rests on captured messages, on Asterisk's own records and on Kamailio's own answers.
"""
