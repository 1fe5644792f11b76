"""What happens in each of Kamailio's routes: requests, responses, failures, expired records."""
