"""What a process keeps open to the brokers besides the topics it follows."""
