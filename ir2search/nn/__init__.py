"""The layers of the method: binary convolution, information restriction and recovery."""

from ir2search.kernels.training import keep_memory as keep_memory
from ir2search.nn.activation import ShiftedPReLU as ShiftedPReLU
from ir2search.nn.activation import make_activation as make_activation
from ir2search.nn.binary import Binarisation as Binarisation
from ir2search.nn.binary import BinaryConv2d as BinaryConv2d
from ir2search.nn.binary import sharpen as sharpen
from ir2search.nn.estimators import sign as sign
from ir2search.nn.fused import Normed as Normed
from ir2search.nn.fused import kernels_without_gradients as kernels_without_gradients
from ir2search.nn.fused import normed as normed
from ir2search.nn.kernel_calls import fixed_weights as fixed_weights
from ir2search.nn.recovery import DepthwiseConv2d as DepthwiseConv2d
from ir2search.nn.recovery import InformationRecovery as InformationRecovery
from ir2search.nn.restriction import attention_map as attention_map
from ir2search.nn.restriction import restrict as restrict
from ir2search.nn.thermometer import Thermometer as Thermometer
from ir2search.nn.threads import kernels_on as kernels_on
