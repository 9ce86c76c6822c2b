"""What the source says about models, output caps and retries, where no test reaches."""
