"""What reap and gc decide: pure, from a listing of the artifact root and Airflow's words."""
