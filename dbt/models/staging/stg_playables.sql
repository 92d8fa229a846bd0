{{ staged('playables') }}
