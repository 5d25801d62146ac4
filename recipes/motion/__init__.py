"""How the motion detector is made and measured: landmark tracks of real and generated people."""
