"""The tables of a back office: made anew from what workers have stored."""
