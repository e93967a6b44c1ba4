"""Classes whose objects are made of data from outside: checked, and every mistake named at once.

For the compose file's keys and for the store's records. The standard library only, and nothing is
looked at before the first object of a class is made: starting the program doesn't pay for it.
"""
