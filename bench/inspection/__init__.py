"""What it costs to find out that a job has ended, measured exactly: jobs, policies, and the best that can be done."""
