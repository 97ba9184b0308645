# El marco de cada página y las palabras que comparten muchas páginas.
skip-to-content = Ir al contenido
nav-roles = Partes de Fragua
nav-language = Idioma
nav-theme = Tema
nav-breadcrumb = Dónde estás
nav-sections = Secciones
nav-pages = Páginas de esta lista
theme-system = Como el sistema
theme-light = Claro
theme-dark = Oscuro

role-orchestrator = DAG
role-tracking = Experimentos y modelos
role-console = Almacén
role-app = Predecir
role-docs = Documentación de la API

search = Buscar
filter = Filtrar
clear-filters = Quitar filtros
filter-state = Filtrar por estado
filter-tag = Filtrar por etiqueta
close = Cerrar
cancel = Cancelar
apply = Aplicar
create = Crear
delete = Borrar
download = Descargar
upload = Subir
copy = Copiar
copied = Copiado
actions = Acciones
name = Nombre
value = Valor
state = Estado
created = Creado
updated = Actualizado
changed = Modificado
started = Inicio
duration = Duración
size = Tamaño
tag = Etiqueta
tags = Etiquetas
note = Nota
params = Parámetros
param = Parámetro
version = Versión
versions = Versiones
alias = Alias
aliases = Alias
run = Ejecución
runs = Ejecuciones
details = Detalles
overview = Resumen
show-table = Ver como tabla
page-first = Primera página
page-next = Página siguiente
form-refused = No se ha podido hacer

count-runs = { $count ->
    [one] { $number } ejecución
   *[other] { $number } ejecuciones
  }
count-runs-shown = { $count ->
    [one] { $number } ejecución mostrada
   *[other] { $number } ejecuciones mostradas
  }
count-rows = { $count ->
    [one] { $number } fila
   *[other] { $number } filas
  }
count-entries = { $count ->
    [one] { $number } entrada
   *[other] { $number } entradas
  }
and-more = { $count ->
    [one] y { $number } más
   *[other] y { $number } más
  }

time-now = ahora
time-seconds-past = hace { $number } s
time-seconds-future = en { $number } s
time-minutes-past = hace { $number } min
time-minutes-future = en { $number } min
time-hours-past = hace { $number } h
time-hours-future = en { $number } h
time-days-past = { $count ->
    [one] hace { $number } día
   *[other] hace { $number } días
  }
time-days-future = { $count ->
    [one] en { $number } día
   *[other] en { $number } días
  }

state-success = Correcto
state-ready = Listo
state-failed = Fallido
state-running = En curso
state-queued = En cola
state-scheduled = Programado
state-up_for_retry = Por reintentar
state-waiting = En espera
state-restarting = Reiniciando
state-skipped = Omitido
state-upstream_failed = Falló una previa
state-killed = Detenido
state-removed = Retirado
state-none = Sin empezar

error-home = Volver al inicio
error-403 = Petición rechazada
error-403-advice = Un formulario solo puede enviarse desde una página de Fragua. Abre la página de nuevo y repite lo que hiciste.
error-404 = No encontrado
error-404-named = No existe { $address }.
missing-asset = No existe el activo "{ $name }"
missing-entry = No existe la entrada "{ $name }"
missing-folder = No existe la carpeta "{ $name }"
missing-experiment = No existe el experimento "{ $name }"
error-404-advice = Puede que la dirección esté mal escrita o que se haya borrado lo que nombraba.
error-405 = Esta dirección no es de lectura
error-405-advice = Solo acepta formularios. Vuelve a la página del formulario.
error-413 = Demasiado grande
error-413-advice = Lo enviado supera el límite. Envíalo en partes más pequeñas.
error-4xx = No se puede responder a esta petición
error-4xx-advice = Revisa la dirección o lo que has escrito e inténtalo de nuevo.
error-503 = Una parte de Fragua no está lista
error-503-advice = Puede que esté arrancando. Espera un momento y recarga la página; fragua doctor dice qué falta.
error-5xx = Algo ha fallado
error-5xx-advice = El fallo es nuestro y el registro de Fragua tiene los detalles. Puede que recargar la página ayude.
refused-host = Este servidor no responde al nombre { $host }
refused-host-advice = El nombre de la dirección no es uno de los suyos: así, un sitio ajeno no puede llegar a él a través de tu navegador. Si es correcto, permítelo en fragua.toml y vuelve a arrancar Fragua; si no, abre Fragua por localhost.
