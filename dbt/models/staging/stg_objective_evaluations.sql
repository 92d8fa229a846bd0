{{ staged('objective_evaluations') }}
