"""The kopf shell of the operator: gather what is observed, ask ``reconcile``, carry out the plan, status last."""
