"""Which objects are learnt from, chosen on, and held out."""
