"""What facts entitle a user to: subscriptions, prices, purchases, and the periods that follow."""
