"""Compiles HLO by libtpu, for a chip that need not be there.

  PYTHON compiler.py FILE.hlo v4:2x2x1 [CHIP_CONFIG]

with the Python of `environment.python()`: it imports nothing of this package.
Prints JSON last: the program's memory in bytes, or what the compiler says of
a chip that has not enough of it.
"""

import json
import os
import pathlib
import resource
import sys
import time

# There are no chips whose other users would have to be asked for, and nobody
# who knows of them.
os.environ.update(TPU_SKIP_MDS_QUERY='1', ALLOW_MULTIPLE_LIBTPU_LOAD='1',
                  JAX_PLATFORMS='cpu')

import jax
from jax._src import compiler
from jax._src.lib import xla_client
from jax.experimental import topologies


def _compile(hlo, topology, chip_config):
    options = {'chip_config_name': chip_config} if chip_config else {}
    device = topologies.get_topology_desc(
        platform='tpu', topology_name=topology, **options).devices[0]
    # JAX has no public way in for HLO that it has not made.
    module = xla_client._xla.mlir.xla_computation_to_mlir_module(
        xla_client.XlaComputation(hlo))
    # One replica: the sum of the gradients over chips is not part of it.
    settings = compiler.get_compile_options(
        num_replicas=1, num_partitions=1, device_assignment=[[device.id]])
    executable = device.client.compile(
        module.encode(), xla_client._xla.DeviceList((device,)), settings)
    memory = executable.get_compiled_memory_stats()
    return {
        'arguments': memory.argument_size_in_bytes,
        # A variable is updated where it is.
        'outputs': (memory.output_size_in_bytes -
                    memory.alias_size_in_bytes),
        'temporaries': memory.temp_size_in_bytes,
        'code': memory.generated_code_size_in_bytes,
        'flops': executable.cost_analysis()['flops']}


def main(path: str, topology: str, chip_config: str = '') -> None:
    """Prints what came of it."""
    try:
        found = _compile(pathlib.Path(path).read_bytes(), topology,
                         chip_config)
    except jax.errors.JaxRuntimeError as error:
        if 'RESOURCE_EXHAUSTED' not in str(error):
            sys.exit(str(error).strip().splitlines()[0])
        found = {'exhausted': str(error)[:1000]}
    found.update(
        seconds=time.process_time(),
        host=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    print(json.dumps(found))


if __name__ == '__main__':
    main(*sys.argv[1:])
