{{ staged('results') }}
