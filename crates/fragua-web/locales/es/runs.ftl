attributes = Atributos
ended = Fin
run-source = Origen
any-state = Cualquier estado
since-ever = Cualquier fecha
since-hour = Última hora
since-day = Últimas 24 horas
since-week = Últimos 7 días
since-month = Últimos 30 días
lifecycle = Activas o borradas
lifecycle-active = Activas
lifecycle-deleted = Borradas
show-flat = Todas al mismo nivel
show-tree = Hijas bajo sus madres
columns-search = Buscar columnas
columns-all = Todas
filter-choices = Cómo puede seguir el filtro
runs-none-deleted = Ninguna ejecución borrada
runs-none-deleted-advice = Las ejecuciones borradas esperan aquí hasta que se restauran o se eliminan del todo.
runs-only-children = Solo ejecuciones hijas
runs-only-children-advice = Las madres de estas ejecuciones están borradas o en otro experimento.
runs-select = Selecciona ejecuciones para compararlas o cambiarlas
runs-selected = { $number } seleccionadas
select-all = Seleccionar todas las cargadas
selection-clear = Quitar la selección
compare-runs-chosen = Comparar
rename-run = Cambiar el nombre de la ejecución
set-tag-title = Poner una etiqueta a las ejecuciones seleccionadas
delete-runs-title = ¿Borrar las ejecuciones seleccionadas?
delete-runs-advice = Pasan a las borradas, con todo lo que registraron, y desde allí se pueden restaurar.
select-runs-first = selecciona antes al menos una ejecución
rename-one-run = solo se puede cambiar el nombre de una ejecución a la vez: selecciona exactamente una
count-child-runs = { $count ->
    [one] { $number } ejecución hija
   *[other] { $number } ejecuciones hijas
  }
