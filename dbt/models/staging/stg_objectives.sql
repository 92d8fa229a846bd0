{{ staged('objectives') }}
